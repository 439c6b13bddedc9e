-- one row per sample whose uid stands in a near-duplicate group: the first group that it stands in
select sample.sample, min(near_duplicate."group") as "group"
from sample
join near_duplicate using (uid)
group by sample.sample
