-- one row: can the samples of a version be told apart, and how many could not be used?
with sample as (
    select samples.uid, samples.sha256, decision.verdict
    from samples
    positional join decision
),
repeated as (
    select count(*) - count(distinct uid) as n
    from sample
    where verdict <> 'quarantined'
)
select
    count(*) filter (where uid is null or not regexp_full_match(uid, '[0-9a-f]{32}')) as uids_missing,
    (select n from repeated) as uids_repeated,
    count(*) filter (where verdict <> 'quarantined') as usable,
    count(*) filter (where verdict <> 'quarantined' and sha256 is null) as usable_without_image,
    coalesce(count(*) filter (where verdict = 'quarantined') / nullif(count(*), 0), 0) as quarantined_share
from sample
