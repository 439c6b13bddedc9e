-- one row per scored attribute at a stage: the mean of its score over the stage's mass (harm) and samples without a score
-- sums are of whole numbers of 2^-24: exact, so that the order of rows does not matter
select
    score.attribute,
    sum(round(score.score * stage.mass)) / nullif(sum(if(score.score is null, 0, stage.mass)), 0) as harm,
    count(*) filter (where score.score is null) as unscored
from score
join stage using (sample)
group by score.attribute
order by score.attribute
