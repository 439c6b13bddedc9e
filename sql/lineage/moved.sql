-- one row a move: how many samples went from one verdict (null: not there) and reason to another, and the first of them
with one as (
    select
        row, uid, verdict, concat_ws(': ', stage, reason) as reason, weight,
        row_number() over (partition by uid order by verdict = 'quarantined', row) as occurrence
    from before
),
other as (
    select
        row, uid, verdict, concat_ws(': ', stage, reason) as reason, weight,
        row_number() over (partition by uid order by verdict = 'quarantined', row) as occurrence
    from after
)
select
    one.verdict as before,
    one.reason as reason_before,
    other.verdict as after,
    other.reason as reason_after,
    one.verdict is not distinct from other.verdict and one.reason is not distinct from other.reason as same,
    count(*) as samples,
    count(*) filter (where one.weight is distinct from other.weight) as weights_changed,
    arg_min(coalesce(other.uid, one.uid), coalesce(other.row, one.row), $examples) as examples
from one
full join other
    on one.uid = other.uid and one.occurrence = other.occurrence
group by all
order by samples desc, before, after, reason_before, reason_after
