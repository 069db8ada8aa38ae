"""Where blocks are computed: threads of this process, or a dask cluster."""
