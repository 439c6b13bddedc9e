-- one row a group and attribute that fit: their association in the pool (before) and at the stage $after (last)
-- matching: how many fit in all
select before, last, count(*) over () as matching
from associations as before
join associations as last
    on last."group" = before."group" and last.attribute = before.attribute and last.stage = $after
where
    before.stage = 'pool'
    and before.group_samples > 0
    and (contains(lower(before."group"), lower($search)) or contains(lower(before.attribute), lower($search)))
    and (before.significant or last.significant or not $significant)
order by
    before.by_construction,
    greatest(coalesce(before.log_odds_ratio_lower, 0), -coalesce(before.log_odds_ratio_upper, 0), 0) desc,
    before."group",
    before.attribute
limit $rows
