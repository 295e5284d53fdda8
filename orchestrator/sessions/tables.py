"""Tables of the session store, for SQLite, PostgreSQL and MySQL. Times are Unix microseconds."""

from typing import Final

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

STORE_VERSION: Final = 3
"""Version of these tables. An older store gets the columns that it lacks, a newer one is refused."""

NAME_LENGTH: Final = 255
"""Characters of ids and names: MySQL indexes no more than 3,072 bytes."""

metadata: Final = MetaData()

store_version: Final = Table("store_version", metadata, Column("version", Integer, primary_key=True))

sessions: Final = Table(
    "sessions",
    metadata,
    Column("correlation_id", String(NAME_LENGTH), primary_key=True),
    Column("phase", String(32), nullable=False),
    Column("goal", Text().with_variant(mysql.LONGTEXT(), "mysql"), nullable=False),
    Column("agent", String(NAME_LENGTH), nullable=False),
    Column("tenant", String(NAME_LENGTH), nullable=False),
    Column("key", String(NAME_LENGTH), nullable=False, server_default=""),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    # The last own event that the row contains.
    Column("sequence", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("turn", Integer, nullable=False, server_default="0"),
    Column("tool_calls", BigInteger, nullable=False),
    Column("model_requests", BigInteger, nullable=False, server_default="0"),
    Column("tokens", BigInteger, nullable=False),
    Column("tokens_cached", BigInteger, nullable=False, server_default="0"),
    Column("cost_micro_usd", BigInteger, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("failure", JSON(none_as_null=True)),
    Index("sessions_by_start", "started_at", "correlation_id"),
    Index("sessions_by_phase", "phase", "started_at"),
)

events: Final = Table(
    "events",
    metadata,
    Column("message_id", String(NAME_LENGTH), primary_key=True),
    Column("correlation_id", String(NAME_LENGTH), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("sequence", BigInteger),
    Column("type", String(NAME_LENGTH), nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
    Index("events_by_session", "correlation_id", "occurred_at"),
)

offsets: Final = Table(
    "offsets",
    metadata,
    Column("topic", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)
