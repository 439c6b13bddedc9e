-- one row a sample of those uids, which commas part: what a strip shows of it
select row, uid, caption, verdict, duplicate_similarity
from sample
where uid in (select unnest(string_split($uids, ','))) and verdict <> 'quarantined'
order by row
