-- one row a sample that is near another: what decides which of them is preferred, and whether the filter kept it
with near as (
    select i as row from pairs
    union
    select j as row from pairs
)

select
    sample.row,
    sample.uid,
    sample.caption,
    sample.width,
    sample.height,
    sample.verdict in ('kept', 'duplicate') as candidate
from near
join sample using (row)
order by sample.row
