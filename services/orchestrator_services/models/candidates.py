"""The models that a policy names: where they come from, and what they cost."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model as ClientModel
from pydantic_ai.models import infer_model

from orchestrator.sdk import Context, Model, PermanentError, ServiceContext
from orchestrator_services.models.prices import Price, Tokens, configured_price, table_price
from orchestrator_services.models.settings import ModelsSettings
from orchestrator_services.models.transfer import limit_responses

# A client's connections belong to the event loop on which it was used first.
_built: Final[MutableMapping[asyncio.AbstractEventLoop, dict[str | int, tuple[Any, ClientModel]]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True)
class Candidate:
    """A model that may be asked, by the name that agents use."""

    name: str
    model: ClientModel
    price: Price | None
    """None if it is not known."""

    def cost(self, tokens: Tokens, response: ModelResponse) -> int:
        """What a response cost, micro USD; 0 if nobody knows."""
        if self.price is not None:
            try:
                return self.price.of(tokens)
            except ValueError:
                # Counts that contradict each other, such as more cached tokens than tokens.
                return self.price.most(tokens.input, tokens.output)
        return round((response.usage.cost or 0) * 1_000_000)

    def most(self, input_tokens: int, output_tokens: int) -> int:
        return 0 if self.price is None else self.price.most(input_tokens, output_tokens)


def candidate(name: str, context: Context, settings: ModelsSettings) -> Candidate:
    """The model of that name: a plug-in, or a provider's.

    Raises `PermanentError` with `unknown_model`, `bad_credentials` or `provider_not_installed`.
    """
    plugin = context.plugins.by_name(Model).get(name) if isinstance(context, ServiceContext) else None
    return priced(name, _from_plugin(plugin) if plugin else _from_provider(name), settings)


def priced(name: str, model: ClientModel, settings: ModelsSettings) -> Candidate:
    """A model object by a name, with its price. From now on its client reads bounded responses only."""
    limit_responses(model)
    price = configured_price(name, settings.prices) or getattr(model, "price", None) or table_price(model)
    return Candidate(name, model, price)


def require_price(asked: Candidate) -> None:
    """Raises `PermanentError` with `no_price` for a model whose price is not known."""
    if asked.price is None:
        raise PermanentError(
            f"the price of the model {asked.name} is not known, so the session's cost limit cannot hold: set "
            f"ORCHESTRATOR_MODELS_PRICES={asked.name}=INPUT/OUTPUT (US dollars for a million tokens), or remove the "
            "cost limit",
            code="no_price",
        )


def _from_plugin(plugin: Model) -> ClientModel:
    built = _built.setdefault(asyncio.get_running_loop(), {})
    # The plug-in is kept with its model: its id is not used again while it is a key.
    known = built.get(id(plugin))
    if known is None:
        model = plugin.build()
        if not isinstance(model, ClientModel):
            raise PermanentError(
                f"the plug-in of the model {plugin.name} built {type(model).__name__}, not a model of pydantic-ai",
                code="unknown_model",
            )
        known = built[id(plugin)] = (plugin, model)
    return known[1]


def _from_provider(name: str) -> ClientModel:
    built = _built.setdefault(asyncio.get_running_loop(), {})
    if name not in built:
        built[name] = (name, _inferred(name))
    return built[name][1]


def _inferred(name: str) -> ClientModel:
    try:
        return infer_model(name)
    except UserError as error:
        # The library's text names the variable of a missing key.
        if "Unknown model" in error.message:
            text = f"{error.message}: write PROVIDER:MODEL, or install the plug-in that has this model"
            raise PermanentError(text, code="unknown_model") from error
        raise PermanentError(
            f"the model {name} cannot be asked: {error.message}", code="bad_credentials"
        ) from error
    except ImportError as error:
        raise PermanentError(
            f"the client of the model {name} is not installed: {error}", code="provider_not_installed"
        ) from error
