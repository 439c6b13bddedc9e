-- one row per pair of neighbours that stands at least $min_count times, ascending
select pair
from pair
group by pair
having count(*) >= $min_count
order by pair
