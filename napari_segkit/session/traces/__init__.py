"""Sets of traces: neurons as arrays, their measures, reviews, errors and exports."""
