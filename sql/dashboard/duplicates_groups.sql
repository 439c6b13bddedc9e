-- one row a near-duplicate group, the largest first; $mixed: those alone of which the filter took some and not others
-- matching: how many fit in all
with counted as (
    select
        "group",
        count(*) as size,
        count(*) filter (where verdict = 'filtered') as filtered
    from groups
    group by "group"
)

select "group", size, filtered, count(*) over () as matching
from counted
where not $mixed or filtered between 1 and size - 1
order by size desc, "group"
limit $rows
offset $skip
