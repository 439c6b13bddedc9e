-- one row: how much did deduplication remove, and does each removed sample have a kept one it stands for?
with survivor as (
    select samples.uid
    from samples
    positional join decision
    where decision.verdict = 'kept'
)
select
    coalesce(
        count(*) filter (where verdict = 'duplicate')
        / nullif(count(*) filter (where verdict in ('duplicate', 'kept')), 0), 0
    ) as duplicate_share,
    count(*) filter (where verdict = 'duplicate' and duplicate_of not in (select uid from survivor)) as orphans,
    coalesce(min(duplicate_similarity) filter (where verdict = 'duplicate'), 1) as duplicate_similarity_min
from decision
