-- one row a sample of one move, in the order of the version that it came to, and of those that are gone in that they left
select uid, row_before, row_after, weight_before, weight_after
from paired
where verdict_before is not distinct from $verdict_before::varchar
    and stage_before is not distinct from $stage_before::varchar
    and reason_before is not distinct from $reason_before::varchar
    and verdict_after is not distinct from $verdict_after::varchar
    and stage_after is not distinct from $stage_after::varchar
    and reason_after is not distinct from $reason_after::varchar
order by row_after nulls last, row_before
limit $size offset $start
