"""The typed stub of the extension against the extension itself: names, members, parameters.

If one of these fails, a type checker tells users about functions or arguments that are not there.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from socialgrid import _core

STUB = Path(__file__).parents[2] / "python" / "socialgrid" / "_core.pyi"


@dataclass(frozen=True)
class Signature:
    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    optional: frozenset[str]


def signature_of(function):
    args = function.args
    positional = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    keyword_only = [arg.arg for arg in args.kwonlyargs]
    optional = positional[len(positional) - len(args.defaults) :]
    optional += [
        name
        for name, value in zip(keyword_only, args.kw_defaults, strict=True)
        if value is not None
    ]
    if positional[:1] == ["self"]:
        positional = positional[1:]
    return Signature(tuple(positional), tuple(keyword_only), frozenset(optional))


def built_signatures(function):
    """Reads the signatures at the top of a pybind11 docstring; overloads are numbered."""
    lines = function.__doc__.splitlines()
    if lines[1:2] == ["Overloaded function."]:
        lines = [match[1] for line in lines if (match := re.match(r"\d+\. (\w+\(.*)", line))]
    else:
        lines = lines[:1]
    return {signature_of(ast.parse(f"def {line}: ...").body[0]) for line in lines}


def decorators(node):
    return {ast.unparse(decorator) for decorator in node.decorator_list}


@dataclass
class StubScope:
    """The public names of a module or class body in the stub."""

    functions: dict[str, set[Signature]]
    properties: dict[str, bool]  # name -> writable
    classes: dict[str, ast.ClassDef]

    @classmethod
    def read(cls, body):
        scope = cls({}, {}, {})
        for node in body:
            if isinstance(node, ast.FunctionDef):
                if "property" in decorators(node):
                    scope.properties.setdefault(node.name, False)
                elif f"{node.name}.setter" in decorators(node):
                    scope.properties[node.name] = True
                else:
                    scope.functions.setdefault(node.name, set()).add(signature_of(node))
            elif isinstance(node, ast.AnnAssign):
                scope.properties[node.target.id] = True
            elif isinstance(node, ast.ClassDef):
                scope.classes[node.name] = node
        return scope

    def names(self):
        return {*self.functions, *self.properties, *self.classes}


MODULE = StubScope.read(ast.parse(STUB.read_text(encoding="utf-8")).body)


def public(names):
    return {name for name in names if not name.startswith("_")}


def test_the_module_has_the_names_of_the_stub():
    assert public(vars(_core)) == public(MODULE.names())


@pytest.mark.parametrize("name", sorted(MODULE.functions))
def test_functions_have_the_parameters_of_the_stub(name):
    assert built_signatures(getattr(_core, name)) == MODULE.functions[name]


@pytest.mark.parametrize("name", sorted(MODULE.classes))
def test_classes_have_the_members_of_the_stub(name):
    built = getattr(_core, name)
    node = MODULE.classes[name]
    scope = StubScope.read(node.body)

    stub_bases = [ast.unparse(base) for base in node.bases] or ["pybind11_object"]
    assert [base.__name__ for base in built.__bases__] == stub_bases
    assert public(vars(built)) == public(scope.names())
    for member, signatures in scope.functions.items():
        assert member in vars(built), member
        assert built_signatures(getattr(built, member)) == signatures, member
    for member, writable in scope.properties.items():
        attribute = vars(built)[member]
        if isinstance(attribute, property):
            assert (attribute.fset is not None) == writable, member


def test_stubtest_finds_nothing(tmp_path):
    # The stub alone: with the package around it, mypy would read all of the package's imports.
    package = tmp_path / "socialgrid"
    package.mkdir()
    (package / "__init__.pyi").touch()
    shutil.copy(STUB, package)
    # Bound classes have pybind11's metaclass, which no type checker needs to know.
    bound = [name for name in MODULE.classes if type(getattr(_core, name)) is not type]
    allowlist = tmp_path / "allowlist"
    allowlist.write_text("".join(f"socialgrid._core.{name}\n" for name in bound))

    command = [sys.executable, "-m", "mypy.stubtest", "--concise", "socialgrid._core"]
    command += ["--allowlist", str(allowlist)]
    environment = {**os.environ, "MYPYPATH": str(tmp_path)}
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
