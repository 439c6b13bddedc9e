-- one row: the usable samples at or above a threshold of the score, and all others
select
    count(*) filter (where score >= cast($threshold as float)) as flagged,
    count(*) filter (where score is null or score < cast($threshold as float)) as unflagged
from decision
where verdict <> 'quarantined'
