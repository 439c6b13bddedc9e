-- one row a sample of either version, matched by uid; of several with one uid the usable ones first
with one as (
    select *, row_number() over (partition by uid order by verdict = 'quarantined', row) as occurrence
    from before
),
other as (
    select *, row_number() over (partition by uid order by verdict = 'quarantined', row) as occurrence
    from after
)
select
    coalesce(one.uid, other.uid) as uid,
    one.row as row_before,
    one.verdict::varchar as verdict_before,
    one.stage::varchar as stage_before,
    one.reason::varchar as reason_before,
    one.weight as weight_before,
    other.row as row_after,
    other.verdict::varchar as verdict_after,
    other.stage::varchar as stage_after,
    other.reason::varchar as reason_after,
    other.weight as weight_after
from one
full join other on one.uid = other.uid and one.occurrence = other.occurrence
