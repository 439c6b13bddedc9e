-- one row per sample to label of one attribute's strata: the first of each stratum's order, as many as `wanted` says, with
-- the label that it has (null: none); in the order of uids, which tells nothing of a stratum
select sample.uid, ordered.stratum, label.label
from ordered
join wanted using (stratum)
join sample using (sample)
left join label using (attribute, sample)
where ordered.place <= wanted.number
order by sample.uid
