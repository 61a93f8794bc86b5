"""Credit is drawn from payments, as far as they account for it, and from none beyond its rest."""

from hypothesis import given
from hypothesis import strategies as st

from billing.payments.drawing import PaidByCredit, distribute

amounts = st.integers(1, 50)


@given(
    paid=st.lists(st.tuples(st.sampled_from("ab"), amounts), max_size=6),
    rests=st.dictionaries(st.sampled_from("abc"), st.lists(amounts, max_size=6)),
)
def test_parts_are_within_both(paid: list[tuple[str, int]], rests: dict[str, list[int]]) -> None:
    documents = [PaidByCredit(account, n, micros, n) for n, (account, micros) in enumerate(paid)]
    payments = {
        account: [(hash((account, n)), micros) for n, micros in enumerate(each)]
        for account, each in rests.items()
    }
    parts = distribute(documents, payments)
    assert all(part.micros > 0 for part in parts)
    for account, each in payments.items():
        own = [part for part in parts if documents[part.place].account == account]
        for payment_id, rest in each:
            assert sum(p.micros for p in own if p.payment_id == payment_id) <= rest
        wanted = sum(document.micros for document in documents if document.account == account)
        assert sum(p.micros for p in own) == min(wanted, sum(rest for _, rest in each))
    for place, document in enumerate(documents):
        assert sum(p.micros for p in parts if p.place == place) <= document.micros
