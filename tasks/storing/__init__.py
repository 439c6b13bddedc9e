"""A lake in an object store: its objects, the copy of them on this machine, the lease, jobs for workers."""
