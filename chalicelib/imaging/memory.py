"""Keep the C library from giving memory back after every frame."""

import numpy as np

# glibc raises its limit to the size of the largest block freed so far, up to 32 MB: mallopt(3), M_MMAP_THRESHOLD.
_BLOCK_BYTES = 31 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let later arrays of up to 31 MB reuse memory instead of asking the kernel for fresh pages.

    By default each frame's arrays are returned to the kernel and faulted in again for the next: 15 000 page faults and
    a third of the CPU time per frame of 1024 x 1024. Freeing one large block tells glibc that such blocks are common.
    The block is never touched, so it costs no memory. Other C libraries are not affected.
    """
    np.empty(_BLOCK_BYTES, dtype=np.uint8)
