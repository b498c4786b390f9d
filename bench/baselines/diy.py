"""The do-it-yourself baseline: register, link, ingest and read, as a backend developer writes them in an afternoon.

FastAPI, SQLAlchemy's ORM and asyncpg on PostgreSQL, with what these suggest: a session a request, a transaction a
session, models in and out, indexes where queries need them. It keeps what a customer would ask of it: each call is
authenticated, credentials are kept as hashes, a person has one active install, a repeated payload counts once, and a
success is answered after the commit. The paths and bodies are the platform's, so that the same requests can be sent to
both. Not in it: policies, undo, late data that is judged by its capture, events made of positions, erasure.

    python -m bench.baselines.diy PORT postgresql://...     prints app id, app secret and API key, then serves
"""

import hashlib
import json
import secrets  # noqa: TID251 - this is nobody's platform
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import DateTime, ForeignKey, Index, UniqueConstraint, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


class App(Base):
    __tablename__ = "apps"
    id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)


class User(Base):
    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("app_id", "external_id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"))
    external_id: Mapped[str | None]


class Install(Base):
    __tablename__ = "installs"
    __table_args__ = (
        Index("one_active", "user_id", unique=True, postgresql_where="active"),
        Index("of_user", "user_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    device: Mapped[dict[str, Any]]
    token_hash: Mapped[str] = mapped_column(unique=True)
    active: Mapped[bool]
    registered_at: Mapped[datetime]


class Payload(Base):
    __tablename__ = "payloads"
    __table_args__ = (UniqueConstraint("install_id", "payload_id"), Index("by_time", "user_id", "captured_at"))
    id: Mapped[int] = mapped_column(primary_key=True)
    install_id: Mapped[str] = mapped_column(ForeignKey("installs.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    payload_id: Mapped[str]
    captured_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class Registration(BaseModel):
    device: dict[str, Any]


class Link(BaseModel):
    external_id: str


class Item(BaseModel):
    kind: str
    t: int
    lat: float | None = None
    lon: float | None = None
    acc: float | None = None


class Batch(BaseModel):
    payload_id: str
    items: list[Item]


class Upload(BaseModel):
    sent_at: int
    payloads: list[Batch]


URL = sys.argv[2].replace("postgresql://", "postgresql+asyncpg://") if len(sys.argv) > 2 else "postgresql+asyncpg://"
engine = create_async_engine(URL, pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


Session = Annotated[AsyncSession, Depends(session)]
Basic = Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def app_by_secret(db: Session, given: Basic) -> App:
    found = await db.get(App, given.username)
    if found is None or not secrets.compare_digest(found.secret_hash, hashed(given.password)):
        raise HTTPException(401)
    return found


async def app_by_key(db: Session, given: Bearer) -> App:
    found = await db.scalar(select(App).where(App.key_hash == hashed(given.credentials)))
    if found is None:
        raise HTTPException(401)
    return found


async def install_by_token(db: Session, given: Bearer) -> Install:
    found = await db.scalar(select(Install).where(Install.token_hash == hashed(given.credentials)))
    if found is None:
        raise HTTPException(401)
    return found


@asynccontextmanager
async def prepared(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app_id, secret, key = secrets.token_hex(12), secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    async with sessions.begin() as db:
        db.add(App(id=app_id, secret_hash=hashed(secret), key_hash=hashed(key)))
    print(json.dumps({"app_id": app_id, "app_secret": secret, "api_key": key}), flush=True)
    yield
    await engine.dispose()


app = FastAPI(lifespan=prepared)


@app.get("/health/ready")
async def ready(db: Session) -> dict[str, str]:
    await db.execute(select(1))
    return {"status": "ready"}


@app.post("/sdk/installs", status_code=201)
async def register(body: Registration, owner: Annotated[App, Depends(app_by_secret)], db: Session) -> dict[str, Any]:
    user = User(id=secrets.token_hex(12), app_id=owner.id)
    db.add(user)
    await db.flush()
    token = secrets.token_urlsafe(32)
    install = Install(
        id=secrets.token_hex(12), app_id=owner.id, user_id=user.id, device=body.device,
        token_hash=hashed(token), active=True, registered_at=datetime.now(UTC),  # noqa: TID251 - nor has it a clock of its own
    )  # fmt: skip
    db.add(install)
    await db.commit()
    return {"install_id": install.id, "user_id": user.id, "state": "active", "user_token": {"token": token}}


@app.post("/v2/users/{install_id}/link")
async def link(install_id: str, body: Link, owner: Annotated[App, Depends(app_by_key)], db: Session) -> dict[str, Any]:
    install = await db.scalar(
        select(Install).where(Install.id == install_id, Install.app_id == owner.id).with_for_update()
    )
    if install is None:
        raise HTTPException(404)
    user = await db.scalar(
        select(User).where(User.app_id == owner.id, User.external_id == body.external_id).with_for_update()
    )
    if user is None:
        user = await db.get_one(User, install.user_id, with_for_update=True)
        if user.external_id is not None:
            raise HTTPException(403, "The install is linked to somebody else.")
        user.external_id = body.external_id
    elif user.id != install.user_id:
        await db.execute(update(Install).where(Install.user_id == user.id, Install.active).values(active=False))
        install.user_id, install.active = user.id, True
    await db.commit()
    return {"id": user.id, "external_id": body.external_id, "link_id": install.id}


@app.post("/sdk/payloads", status_code=202)
async def ingest(body: Upload, install: Annotated[Install, Depends(install_by_token)], db: Session) -> dict[str, Any]:
    if not install.active:
        raise HTTPException(403, "Another install of this person is active.")
    rows = [
        {
            "install_id": install.id,
            "user_id": install.user_id,
            "payload_id": batch.payload_id,
            "captured_at": datetime.fromtimestamp(batch.items[0].t / 1000, UTC),
            "body": batch.model_dump(exclude_none=True),
        }
        for batch in body.payloads
        if batch.items
    ]
    if rows:
        await db.execute(insert(Payload).values(rows).on_conflict_do_nothing())
    await db.commit()
    return {"payloads": [{"payload_id": row["payload_id"], "status": "stored"} for row in rows], "state": "active"}


@app.get("/v2/users/{user_id}/events")
async def timeline(
    user_id: str,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date, Query(alias="to")],
    owner: Annotated[App, Depends(app_by_key)],
    db: Session,
) -> list[dict[str, Any]]:
    start, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    found = await db.scalars(
        select(Payload)
        .join(User, User.id == Payload.user_id)
        .where(User.app_id == owner.id, Payload.user_id == user_id)
        .where(Payload.captured_at >= start, Payload.captured_at < end + timedelta(days=1))
        .order_by(Payload.captured_at)
    )
    return [{"id": row.payload_id, "start": row.captured_at.isoformat(), **row.body} for row in found]


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
