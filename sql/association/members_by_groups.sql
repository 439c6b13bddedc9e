-- one row per sample and group that is made of other groups: the sample is in all of those that the group demands and in
-- none of those that it excludes, or in one of the groups below it
with held as (
    select
        rule."group",
        member.sample,
        count(*) filter (where rule.kind = 'all') as demanded,
        count(*) filter (where rule.kind = 'without') as excluded,
        count(*) filter (where rule.kind = 'part') as parts
    from member
    join rule on rule.other = member."group"
    group by all
),

asked as (
    select "group", count(*) filter (where kind = 'all') as demands
    from rule
    group by "group"
)

select held.sample, held."group"
from held
join asked using ("group")
where held.parts > 0 or (asked.demands > 0 and held.demanded = asked.demands and held.excluded = 0)
