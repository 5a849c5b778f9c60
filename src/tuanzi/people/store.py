"""The tables of people, in the database `platform`, and the statements its pages are read with."""

from __future__ import annotations

from tuanzi.machinery.several import FEW, SEVERAL
from tuanzi.machinery.tables import table
from tuanzi.people.model import (
    AuditEntry,
    CodeChallenge,
    FamiliarAddresses,
    FormerPhone,
    Person,
    PhoneOwner,
    PlatformOperators,
    RateLimit,
    Session,
    WechatUser,
)

PEOPLE = table("people", Person, key="id")
PHONE_OWNERS = table("phone_owners", PhoneOwner, key="phone_hash")
WECHAT_USERS = table("wechat_users", WechatUser, key="openid_hash")
FORMER_PHONES = table("former_phones", FormerPhone, key="mark")
SESSIONS = table("sessions", Session, key="id")
CODE_CHALLENGES = table("phone_codes", CodeChallenge, key="phone_hash")
FAMILIAR_ADDRESSES = table("familiar_addresses", FamiliarAddresses, key="phone_hash")
RATE_LIMITS = table("rate_limits", RateLimit, key="id")
PLATFORM_OPERATORS = table("platform_operators", PlatformOperators, key="id")
AUDIT_ENTRIES = table("audit_entries", AuditEntry, key="id")

TABLES = (
    PEOPLE,
    PHONE_OWNERS,
    WECHAT_USERS,
    FORMER_PHONES,
    SESSIONS,
    CODE_CHALLENGES,
    FAMILIAR_ADDRESSES,
    RATE_LIMITS,
    PLATFORM_OPERATORS,
    AUDIT_ENTRIES,
)

WHO_BY_TOKENS = (
    "SELECT "
    + "s.token_hash, s.id, s.person_id, s.expires_at_ms, p.roles, p.campus_id, p.merchant_id, p.is_returning"
    + " FROM sessions s JOIN people p ON p.id = s.person_id"
    + " WHERE s.token_hash IN ("
    + FEW
    + ") ORDER BY s.token_hash LIMIT 16"
)

WHO_BY_SESSION = """
SELECT s.id, s.person_id, s.expires_at_ms, p.roles, p.campus_id, p.merchant_id, p.is_returning
FROM sessions s JOIN people p ON p.id = s.person_id
WHERE s.id = :session_id
ORDER BY s.id LIMIT 1
"""

WHO_OF_NEWEST = """
SELECT s.token_hash, s.id, s.person_id, s.expires_at_ms, p.roles, p.campus_id, p.merchant_id, p.is_returning
FROM sessions s JOIN people p ON p.id = s.person_id
ORDER BY s.id DESC LIMIT :limit
"""

PERSON = """
SELECT id, name, phone_masked, phone_sealed, roles, campus_id, merchant_id, joined_at_ms, is_returning, openid_hash
FROM people WHERE id = :person_id AND erased_at_ms IS NULL
ORDER BY id LIMIT 1
"""

WECHAT_OF_PERSON = """
SELECT w.appid, w.openid_sealed, w.code_hash, w.bound_at_ms
FROM people p JOIN wechat_users w ON w.openid_hash = p.openid_hash
WHERE p.id = :person_id ORDER BY w.openid_hash LIMIT 1
"""

LIVING_OF_CAMPUS = (
    "SELECT "
    + "id FROM people WHERE id IN ("
    + SEVERAL
    + ") AND campus_id = :campus_id AND erased_at_ms IS NULL ORDER BY id LIMIT 100"
)

FIRST_SEALED_PHONES = """
SELECT phone_sealed FROM people WHERE phone_sealed IS NOT NULL ORDER BY id LIMIT 100
"""

NEWEST_SEALED_PHONES = """
SELECT phone_sealed FROM people WHERE phone_sealed IS NOT NULL ORDER BY id DESC LIMIT 100
"""

SESSIONS_OF_PERSON = """
SELECT id, created_at_ms, expires_at_ms FROM sessions WHERE person_id = :person_id ORDER BY id LIMIT :limit
"""

AUDIT_OF_PERSON = """
SELECT id, at_ms, person_id, action, subject, facts FROM audit_entries
WHERE (person_id = :person_id OR subject = :person_id) AND id < :before
ORDER BY id DESC LIMIT :limit
"""

AUDIT_PAGE = """
SELECT id, at_ms, person_id, action, subject, facts FROM audit_entries
WHERE id < :before
ORDER BY id DESC LIMIT :limit
"""

PEOPLE_AFTER = """
SELECT id, name, phone_masked, roles, campus_id, merchant_id, joined_at_ms, erased_at_ms FROM people
WHERE id > :after ORDER BY id LIMIT :limit
"""

PEOPLE_OF_CAMPUS = """
SELECT id, name, phone_masked, roles, campus_id, merchant_id, joined_at_ms, erased_at_ms FROM people
WHERE campus_id = :campus_id AND id > :after ORDER BY id LIMIT :limit
"""

PERSON_OF_PHONE = """
SELECT p.id, p.name, p.phone_masked, p.roles, p.campus_id, p.merchant_id, p.joined_at_ms, p.erased_at_ms
FROM phone_owners o JOIN people p ON p.id = o.person_id
WHERE o.phone_hash = :phone_hash ORDER BY p.id LIMIT 1
"""
