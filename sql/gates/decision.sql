-- one row: do the verdicts of a version add up, and is each of them explained?
select
    count(*) as samples,
    count(*) filter (where coalesce(verdict, '') not in ('kept', 'filtered', 'duplicate', 'quarantined'))
        as samples_without_verdict,
    count(*) filter (where verdict = 'kept') as kept,
    count(*) filter (where verdict <> 'kept' and (stage is null or reason is null)) as removed_without_reason,
    count(*) filter (where verdict = 'kept' and coalesce(stage, reason, duplicate_of) is not null)
        as kept_with_reason,
    count(*) filter (where verdict = 'duplicate' and duplicate_of is null) as duplicates_without_survivor
from decision
