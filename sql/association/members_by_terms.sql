-- one row per sample, group and term of the group that its caption has; in no order
select token.sample, group_term."group"
from token
join group_term using (term)
