"""FITS in, pixels out. Imported by pipelines only: numpy and image libraries stay out of the API."""

import os

# numpy starts one OpenBLAS thread per core when it is imported, which doubles its CPU time (0.25 s against 0.10 s
# measured). Nothing here does linear algebra, so one thread is enough; must be set before numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
