-- one row per set (group or attribute) and unit with it at a stage: mass with it, the unit's mass, samples with it
-- a sample that is its unit's whole mass is alone there: only the others have to be grouped
select member."group", stage.unit, stage.mass, stage.unit_mass, 1 as samples
from member
join stage using (sample)
where stage.mass = stage.unit_mass
union all
select
    member."group",
    stage.unit,
    cast(sum(stage.mass) as bigint) as mass,
    any_value(stage.unit_mass) as unit_mass,
    count(*) as samples
from member
join stage using (sample)
where stage.mass < stage.unit_mass
group by member."group", stage.unit
