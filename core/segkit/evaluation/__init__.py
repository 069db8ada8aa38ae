"""`evaluate`: compare a segmentation, a class map or a prediction with ground truth, block by block.

Both volumes are streamed once; what is kept are counts and sums, so that memory does not depend on their size.
"""

from segkit.evaluation._evaluate import Compare, Evaluation, evaluate

__all__ = ["Compare", "Evaluation", "evaluate"]
