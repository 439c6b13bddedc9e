-- one row a group to look at for a $reason (verdicts, captions, words; empty: any), those that disagree most first
-- matching: how many fit in all
select *, count(*) over () as matching
from review
where
    contains(reasons, $reason)
    and (
        contains(lower(coalesce(stays_caption, '')), lower($search))
        or contains(lower(coalesce(unlike_caption, '')), lower($search))
        or contains(words, lower($search))
    )
order by disagreeing desc, jaccard nulls last, "group"
limit $rows
offset $skip
