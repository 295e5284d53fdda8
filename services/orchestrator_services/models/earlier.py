"""Long conversations: what came before the last response is of no interest to a run, but to the model."""

from collections.abc import Sequence

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel


class WithEarlier(WrapperModel):
    """A model that is asked with messages which the run that asks it does not know.

    The client's library walks over a run's messages a dozen times for each request, to find what none of ours has.
    """

    def __init__(self, model: Model, earlier: Sequence[ModelMessage]) -> None:
        super().__init__(model)
        self._earlier = earlier

    def prepare_messages(
        self,
        messages: list[ModelMessage],
        model_request_parameters: ModelRequestParameters | None = None,
    ) -> list[ModelMessage]:
        """What is sent: the last step of a run before its request."""
        return super().prepare_messages([*self._earlier, *messages], model_request_parameters)


def last_response_at(messages: Sequence[ModelMessage]) -> int:
    """Where the last response is, 0 without one: its calls, and all answers to them, are from there on."""
    return next((at for at in range(len(messages) - 1, 0, -1) if isinstance(messages[at], ModelResponse)), 0)
