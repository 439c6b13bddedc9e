"""What is done with a pool, stage by stage."""

import os

# Before torch allocates: large tensors then lie in large pages, whose first use takes a hundredth of the faults.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
