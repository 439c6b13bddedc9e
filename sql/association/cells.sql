-- one row per group and attribute that stand in the same unit at a stage: samples and mass with both, and sums over units
-- of products of masses: with both squared (both_both), with both times the group's, the attribute's, the unit's mass,
-- and the group's times the attribute's (group_attribute), in whatever captions of the unit they are
-- sets from $attributes on are attributes; masses and products are in units of 2^-24
with together as (
    select
        member."group",
        attribute."group" as attribute,
        stage.unit,
        cast(sum(stage.mass) as double) as mass,
        count(*) as samples
    from member
    join member as attribute on member.sample = attribute.sample
    join stage on stage.sample = member.sample
    where member."group" < $attributes and attribute."group" >= $attributes
    group by all
),

beside as (
    select held."group", attribute."group" as attribute, held.unit, held.mass, attribute.mass as attribute_mass, held.unit_mass
    from held
    join held as attribute on held.unit = attribute.unit
    where held."group" < $attributes and attribute."group" >= $attributes
),

product as (
    select
        beside."group",
        beside.attribute,
        coalesce(together.samples, 0) as samples,
        coalesce(together.mass, 0) as mass,
        cast(beside.mass as double) as group_mass,
        beside.attribute_mass,
        beside.unit_mass
    from beside
    left join together using ("group", attribute, unit)
)

select
    "group",
    attribute,
    cast(sum(samples) as bigint) as samples,
    cast(sum(cast(mass as bigint)) as bigint) as mass,
    cast(sum(cast(round(mass * mass / 16777216) as bigint)) as bigint) as both_both,
    cast(sum(cast(round(mass * group_mass / 16777216) as bigint)) as bigint) as both_group,
    cast(sum(cast(round(mass * attribute_mass / 16777216) as bigint)) as bigint) as both_attribute,
    cast(sum(cast(round(mass * unit_mass / 16777216) as bigint)) as bigint) as both_all,
    cast(sum(cast(round(group_mass * attribute_mass / 16777216) as bigint)) as bigint) as group_attribute
from product
group by "group", attribute
order by "group", attribute
