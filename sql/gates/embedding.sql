-- one row: is there a finite embedding row for each sample, of unit norm for each usable one?
with row as (
    select decision.verdict, norms.norm, norms.finite
    from norms
    positional join decision
)
select
    count(*) filter (where verdict is null or norm is null) as rows_unaligned,
    count(*) filter (where not finite) as embeddings_not_finite,
    coalesce(max(abs(norm - 1)) filter (where verdict <> 'quarantined'), 0) as norm_error_max
from row
