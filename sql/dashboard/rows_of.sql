-- one row a uid: the row of its sample, of several with one uid the first that is usable
select uid, arg_min(row, (verdict = 'quarantined', row)) as row
from sample
where uid in (select unnest($uids::varchar[]))
group by uid
