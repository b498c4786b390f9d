"""No page and no example holds a credential, or shows one being written into a program.

A reader copies what stands here. So nothing that is called a secret, a key or a token gets its value in the source: not
as an argument, a variable, a member or the default of a look-up, nor in the password of a URL.
"""

from __future__ import annotations

import ast
import re

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, name_of

from unbroken.credentials import PREFIXES

EXAMPLES = sorted(ROOT.glob("examples/**/*.py"))
SHOWN = [*PAGES, *EXAMPLES]
CREDENTIAL = re.compile(rf"(?:{'|'.join(map(re.escape, PREFIXES.values()))})[0-9A-Za-z_-]{{20,}}")
WRITTEN_DOWN = re.compile(r"""Secret\(\s*f?["']|secret=\s*f?["']""")
NAME = re.compile(r"(?i)(?:^|_)(?:app_?secret|secret|password|passwd|api_?key|token|credential|(?:\w+_)?key|pepper)$")
NO_SECRET = re.compile(r"(?i)\w*(?:public|idempotency|foreign|primary|sort)_?key$")
TYPED_BY_A_PERSON = {"correct horse battery"}
IN_A_SHELL = re.compile(r"""\b\w*(?:SECRET|PASSWORD|API_KEY|TOKEN|PEPPER)=(["']?)([^\s"'$<`][^"'\n$]*)\1""")
IN_A_URL = re.compile(r"://[^/\s:@\"']+:([^/\s@\"'$<{]+)@")
A_PLACEHOLDER = re.compile(r"[A-Z_]+\Z|\.{3}")


def is_secret(name):
    return bool(NAME.search(name)) and not NO_SECRET.match(name)


def is_literal(node):
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and bool(node.value)
    return (is_text and node.value not in TYPED_BY_A_PERSON) or isinstance(node, ast.JoinedStr)


def in_a_program(source):
    """The names that get a literal in a Python program, and are called as only a secret is."""
    return [name for node in ast.walk(ast.parse(source)) for name, value in pairs(node) if said(name, value)]


def said(name, value):
    return name is not None and is_secret(name) and is_literal(value)


def pairs(node):
    """What gets which value here, by name."""
    match node:
        case ast.keyword(arg=name, value=value):
            yield name, value
        case ast.Assign(targets=targets, value=value):
            yield from ((name_in(target), value) for target in targets)
        case ast.AnnAssign(target=target, value=value):
            yield name_in(target), value
        case ast.Dict(keys=keys, values=values):
            yield from ((name_in(key), value) for key, value in zip(keys, values, strict=True))
        case ast.Call(args=[name, value]):  # os.environ.get("API_KEY", "a default")
            yield name_in(name) if isinstance(name, ast.Constant) else None, value


def name_in(node):
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return None


def in_a_shell(text):
    """What a shell, or a file of settings, is given as a secret."""
    given = [match[2] for match in IN_A_SHELL.finditer(text)] + IN_A_URL.findall(text)
    return [value for value in given if not A_PLACEHOLDER.match(value) and value not in TYPED_BY_A_PERSON]


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_nobody_learns_here_to_write_a_secret_down(page):
    text = page.read_text(encoding="utf-8")
    assert not CREDENTIAL.findall(text)
    assert not WRITTEN_DOWN.findall(text)
    programs = [text] if page in EXAMPLES else [one.text for one in blocks(page) if one.language == "python"]
    others = [] if page in EXAMPLES else [one.text for one in blocks(page) if one.language != "python"]
    assert [name for program in programs for name in in_a_program(program)] == []
    assert [value for other in others for value in in_a_shell(other)] == []


def test_there_are_programs_and_commands_to_look_at():
    languages = [block.language for page in PAGES for block in blocks(page)]
    assert len(EXAMPLES) >= 2
    assert min(languages.count("python"), languages.count("bash")) > 10


@pytest.mark.parametrize(
    "text",
    ["unb_app_" + "0" * 73, 'Secret("hush")', "secret = Secret('hush')", 'Config(secret="hush")', 'Secret(f"x")'],
)
def test_a_secret_that_is_written_down_would_be_found(text):
    assert CREDENTIAL.search(text) or WRITTEN_DOWN.search(text)


@pytest.mark.parametrize(
    "program",
    [
        'Platform(url, api_key="hush")',
        'API_KEY = "hush"',
        'key.challenge_key: bytes = b"hush"',
        'settings = {"app_secret": "hush"}',
        'os.environ["UNBROKEN_API_KEY"] = "hush"',
        'os.environ.get("UNBROKEN_APP_SECRET", "hush")',
        'login(name, password=f"hush {name}")',
    ],
)
def test_a_secret_in_a_program_would_be_found(program):
    assert in_a_program(program)


@pytest.mark.parametrize(
    "program",
    ['api_key=os.environ["UNBROKEN_API_KEY"]', "f(api_key=fetch())", 'f(idempotency_key="one")', 'TOKEN = ""'],
)
def test_what_is_fetched_is_no_secret_in_a_program(program):
    assert in_a_program(program) == []


@pytest.mark.parametrize(
    "text",
    [
        "export UNBROKEN_API_KEY=hush",
        "UNBROKEN_APP_SECRET='hush hush'",
        "database_url = postgresql://unbroken:hush@db/unbroken",
    ],
)
def test_a_secret_in_a_shell_would_be_found(text):
    assert in_a_shell(text)


@pytest.mark.parametrize("text", ["export API_KEY=$(field api_key)", 'TOKEN="$1"', "postgresql://me:PASSWORD@db/me"])
def test_what_is_fetched_is_no_secret_in_a_shell(text):
    assert in_a_shell(text) == []
