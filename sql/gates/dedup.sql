-- one row: how much did deduplication remove, and does each removed sample have a kept one it stands for?
with survivor as (
    select samples.uid
    from samples
    positional join decision
    where decision.verdict = 'kept' and samples.uid is not null -- `not in` finds nothing beside a null
),
judged as ( -- a similarity that is absent is the worst that there is: `min` would pass over it
    select verdict, duplicate_of, if(isfinite(duplicate_similarity), duplicate_similarity, -1) as similarity
    from decision
)
select
    coalesce(
        count(*) filter (where verdict = 'duplicate')
        / nullif(count(*) filter (where verdict in ('duplicate', 'kept')), 0), 0
    ) as duplicate_share,
    count(*) filter (where verdict = 'duplicate' and duplicate_of not in (select uid from survivor)) as orphans,
    coalesce(min(similarity) filter (where verdict = 'duplicate'), 1) as duplicate_similarity_min
from judged
