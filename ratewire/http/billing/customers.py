"""Customers over HTTP."""

from datetime import datetime

import msgspec

from billing.customers import register
from billing.customers.customer import Customer, Details
from billing.customers.register import Export
from ratewire.http.endpoint import ADMIN, CARE, READERS, Call, Name, Nothing, Page, endpoint


class NewCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer to be created."""

    id: Name
    details: Details


class CustomerView(msgspec.Struct, frozen=True):
    """A customer; `details` is null once they are erased."""

    id: str
    revision: int
    created_at: datetime
    erased_at: datetime | None
    details: Details | None


class Customers(msgspec.Struct, frozen=True):
    """Customers by id."""

    data: list[CustomerView]
    next: str | None


class CustomersQuery(Page, frozen=True):
    """`containing`: a part of the id, name, company, email, phone, street or city."""

    containing: str | None = None


def view(customer: Customer) -> CustomerView:
    """Return a customer as the API tells it."""
    return CustomerView(
        customer.customer_id,
        customer.revision,
        customer.created_at,
        customer.erased_at,
        customer.details,
    )


async def create(call: Call[Nothing, NewCustomer]) -> CustomerView:
    """Create a customer."""
    return view(await register.create(call.conn, call.body.id, call.body.details, now=call.now))


async def list_(call: Call[CustomersQuery, Nothing]) -> Customers:
    """List customers."""
    found = await register.list_(
        call.conn,
        after=call.query.cursor or "",
        containing=call.query.containing,
        limit=call.query.limit + 1,
    )
    page, more = call.query.cut(found, lambda each: each.customer_id)
    return Customers([view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> CustomerView:
    """Read one."""
    return view(await register.get(call.conn, call.path["customer"]))


async def put(call: Call[Nothing, Details]) -> CustomerView:
    """Replace what is known of one."""
    customer = call.path["customer"]
    return view(await register.change(call.conn, customer, call.body, revision=call.revision))


async def export(call: Call[Nothing, Nothing]) -> Export:
    """All that is kept about one."""
    return await register.export(call.conn, call.path["customer"])


async def erase(call: Call[Nothing, Nothing]) -> CustomerView:
    """Forget the personal data of one."""
    return view(await register.erase(call.conn, call.path["customer"], now=call.now))


_ONE = "billing/customers/{customer}"

ENDPOINTS = (
    endpoint(
        "POST",
        "billing/customers/",
        "Create a customer",
        create,
        roles=CARE,
        body=NewCustomer,
        answer=CustomerView,
        status=201,
    ),
    endpoint(
        "GET",
        "billing/customers/",
        "List customers",
        list_,
        roles=READERS,
        query=CustomersQuery,
        answer=Customers,
    ),
    endpoint("GET", _ONE, "Read a customer", get, roles=READERS, answer=CustomerView),
    endpoint(
        "PUT",
        f"{_ONE}/details",
        "Replace a customer's details",
        put,
        roles=CARE,
        body=Details,
        answer=CustomerView,
    ),
    endpoint(
        "GET",
        f"{_ONE}/export",
        "Export what is kept about a customer",
        export,
        roles=CARE,
        answer=Export,
    ),
    endpoint(
        "POST",
        f"{_ONE}/erasure",
        "Erase a customer's personal data",
        erase,
        roles=ADMIN,
        answer=CustomerView,
    ),
)
