"""Specs: the arguments of an environment as data that can be stored, compared and made again."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import warnings
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from envhub import _json, _travel
from envhub._display import lines, table
from envhub._value import key_of, own_copy
from envhub.errors import InvalidOptionError, did_you_mean

if TYPE_CHECKING:
    from envhub.environment import Environment

E_co = TypeVar("E_co", covariant=True)


class _Data:
    """A frozen dataclass that is compared by `key_of` its fields, which are copies of its own."""

    def __post_init__(self) -> None:
        for field in self._all():
            value = own_copy(getattr(self, field.name))
            kept = MappingProxyType(value) if isinstance(value, dict) else value
            object.__setattr__(self, field.name, kept)

    def _all(self) -> tuple[dataclasses.Field[Any], ...]:
        itself: Any = self
        return dataclasses.fields(itself)

    @functools.cached_property
    def _key(self) -> Hashable:
        return key_of(self._fields())

    def _fields(self) -> tuple[Any, ...]:
        """The fields in order, with mappings as dicts."""
        values = [getattr(self, field.name) for field in self._all()]
        return tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:  # a read-only mapping cannot be pickled
        fields = self._fields()
        names = [field.name for field in self._all()]
        _travel.check(type(self).__name__, dict(zip(names, fields, strict=True)))
        return type(self), fields

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class WrapperSpec(_Data, Generic[E_co]):
    """A wrapper class with its options: a function that wraps an environment.

    For example, `TimeLimit(max_episode_steps=5)` is a `WrapperSpec`.

    Attributes:
        kind: the class of the wrapper.
        kwargs: its options by name.
        args: its positional options.

    Examples:
        >>> limit = envhub.wrappers.TimeLimit(max_episode_steps=5)
        >>> limit
        TimeLimit(max_episode_steps=5)
        >>> env, _ = envhub.make("gymnax::CartPole-v1")
        >>> limit(env)
        <TimeLimit(max_episode_steps=5)<GymnaxEnvironment gymnax::CartPole-v1>>
    """

    kind: Callable[..., E_co]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    args: tuple[Any, ...] = ()

    def __call__(self, env: Environment) -> E_co:
        return self.kind(env, *self.args, **self.kwargs)

    @property
    def __name__(self) -> str:
        return self.kind.__name__

    @classmethod
    def of(cls, kind: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> WrapperSpec[Any]:
        """Make the spec from the arguments of a wrapper, which include the environment.

        Raises:
            InvalidOptionError: if the wrapper does not take them; the message names those it takes.
        """
        signature = _signature(kind)
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _wrong_options(kind, signature, kwargs, error) from error
        named, others = {}, given.args[1:]
        kinds = [each.kind for each in signature.parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            named, others = dict(zip(list(signature.parameters)[1:], others, strict=False)), ()
        kept = {name: value for name, value in given.kwargs.items() if name != "env"}
        return cls(kind, {**named, **kept}, others)

    @property
    def options(self) -> dict[str, Any]:
        """Return all options by name, including those that were not given."""
        bound = _signature(self.kind).bind(None, *self.args, **self.kwargs)
        bound.apply_defaults()
        return dict(list(bound.arguments.items())[1:])

    def __repr__(self) -> str:
        return f"{self.__name__}({show(self.kwargs, *self.args)})"


@dataclasses.dataclass(frozen=True)
class MadeBy:
    """A function that makes an object. `EnvSpec.make` wraps the object, and not the function."""

    function: Callable[[], Any]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class EnvSpec(_Data):
    """The arguments from which an environment was made.

    Specs are equal if all their fields are. They can be pickled, and `to_json` writes them as text.

    Attributes:
        id: the full id, `"suite::Name"`.
        suite: the suite's name.
        name: the suite's own id of the environment.
        options: the keywords that went to the suite's constructor.
        params: the keywords that override fields of the params.
        wrappers: the wrappers around it, the innermost first, including an `AutoReset`.
        distribution: the package that provides the environment. If another package registered the
            environment with a suite, this is the other package.
        version: the installed version of that package; empty if it was not installed.
        num_agents: the number of agents that act.
        agents: the names of the agents, in the order of rewards and flags; empty for one agent.
        source: for environments made by `envhub.wrap`, the source from which it can be made again:
            the function passed to `wrap`, the object if it is a value, or a function that makes
            objects like it. `None` for environments that `envhub.make` made.
        recreatable: whether `make` can make it again; false if `wrap` was given one live object.

    Examples:
        >>> env, _ = envhub.make("gymnax::CartPole-v1", gravity=9.0, autoreset="same_step")
        >>> env.spec.name, dict(env.spec.params), env.spec.wrappers
        ('CartPole-v1', {'gravity': 9.0}, (AutoReset(mode='same_step'),))
        >>> again, params = env.spec.make()
        >>> again == env, envhub.EnvSpec.from_json(env.spec.to_json()) == env.spec
        (True, True)
    """

    id: str
    suite: str
    name: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    wrappers: tuple[Callable[[Environment], Environment], ...] = ()
    distribution: str = ""
    version: str = ""
    num_agents: int = 1
    agents: tuple[str, ...] = ()
    source: Any = None
    recreatable: bool = True

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keywords given to `make`, except `wrappers` and `autoreset`."""
        return MappingProxyType({**self.options, **self.params})

    def make(self) -> tuple[Environment, Any]:
        """Make the environment again, wrappers included.

        Returns:
            The environment and its default params.

        Raises:
            InvalidOptionError: if it cannot be made again; and all errors of `envhub.make`.
        """
        from envhub import hub
        from envhub._adoption import wrap
        from envhub.wrappers._apply import apply_wrappers

        if not self.recreatable:
            raise InvalidOptionError(
                f"{self.id} cannot be made again, because envhub.wrap was given one live object. "
                "Give envhub.wrap a function that makes it."
            )
        if self.source is None:
            return hub.make(
                self.id, wrappers=self.wrappers, options=self.options, params=self.params
            )
        obj = self.source.function() if isinstance(self.source, MadeBy) else self.source
        env = apply_wrappers(self.wrappers, wrap(obj, **self.options)[0])
        return env, env.default_params

    def __repr__(self) -> str:
        return lines("EnvSpec", self._fields_shown())

    def _repr_html_(self) -> str:
        """Return a table, for notebooks."""
        return table(self._fields_shown().items())

    def _fields_shown(self) -> dict[str, str]:
        """Return the fields that were given."""
        named = zip([field.name for field in self._all()], self._fields(), strict=True)
        return {name: str(value) for name, value in named if value not in ({}, (), None, "")}

    def to_json(self) -> str:
        """Write the spec as text, which `from_json` reads.

        Raises:
            InvalidOptionError: if an option cannot be written as text, such as a lambda.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.dumps({name: _json.encode(name, value) for name, value in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> EnvSpec:
        """Read text that `to_json` wrote.

        It imports the functions and classes that the text names, and calls only those of wrappers,
        spaces and data; `make` calls the others. Read only text from people whose code you trust.

        Raises:
            InvalidOptionError: if the text was not written by `to_json`, or names something absent.
        """
        try:
            fields = {name: _json.decode(value) for name, value in json.loads(text).items()}
            return cls(**fields)
        except (ValueError, TypeError, AttributeError, ImportError, LookupError) as error:
            raise InvalidOptionError(f"this is not the spec of an environment: {error}") from error

    def within(self, wrapper: Callable[[Environment], Environment]) -> EnvSpec:
        """Return the spec of the environment with one more wrapper around it."""
        return dataclasses.replace(self, wrappers=(*self.wrappers, wrapper))


def _with_old_keyword(init: Callable[..., None]) -> Callable[..., None]:
    """The constructor of specs with `kwargs=`, the name of `options=` and `params=` until 0.1."""

    @functools.wraps(init)
    def with_old_keyword(
        self: EnvSpec, *args: Any, kwargs: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        if kwargs is not None:
            message = "EnvSpec(kwargs=…) is EnvSpec(options=…, params=…) now."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            fields["options"] = {**fields.get("options", {}), **kwargs}
        init(self, *args, **fields)

    return with_old_keyword


EnvSpec.__init__ = _with_old_keyword(EnvSpec.__init__)  # type: ignore[method-assign]


def _signature(kind: Any) -> inspect.Signature:
    """Return the signature of a wrapper's constructor, in which the environment is the first."""
    signature = inspect.signature(kind.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _wrong_options(
    kind: Any, signature: inspect.Signature, given: Mapping[str, Any], error: TypeError
) -> InvalidOptionError:
    known = list(signature.parameters)[1:]
    wrong = [name for name in given if name not in signature.parameters]
    what = (
        f"does not take {wrong[0]!r}.{did_you_mean(wrong[0], known)}" if wrong else f"is {error}."
    )
    takes = ", ".join(known) or "no options"
    return InvalidOptionError(f"{kind.__name__} {what} It takes: {takes}.")


def show(named: Mapping[str, Any], *others: Any) -> str:
    """Return options in the form of a call, with long values shortened."""
    texts = [_short(value) for value in others]
    texts += [f"{name}={_short(value)}" for name, value in named.items()]
    return ", ".join(texts)


def _short(value: Any, width: int = 60) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= width else f"{text[:width]}…"
