"""The client's library is large: it is imported where a model is asked, and nowhere else."""

import subprocess
import sys

from orchestrator_services.models import model_client

LIBRARY = ("pydantic_ai", "genai_prices", "openai")


def test_plug_ins_are_found_without_the_library() -> None:
    program = (
        "import sys; from orchestrator.sdk import discover; discover(); "
        f"print([name for name in {LIBRARY} if name in sys.modules])"
    )

    assert printed(program) == "[]"


def test_there_is_one_client_in_a_process() -> None:
    assert model_client() is model_client()


def test_without_the_library_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "from orchestrator.sdk import ConfigurationError\n"
        "from orchestrator_services.models import model_client\n"
        "try: model_client()\n"
        "except ConfigurationError as error: print(error)"
    )

    assert "install kafka-agent-orchestrator[models]" in printed(program)


def test_the_event_loop_goes_on_while_the_library_is_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from orchestrator_services.models import library_loaded, model_client\n"
        "async def main():\n"
        "    loading = asyncio.ensure_future(library_loaded())\n"
        "    turns = 0\n"
        "    while not loading.done():\n"
        "        await asyncio.sleep(0.001)\n"
        "        turns += 1\n"
        "    print(turns > 20, 'pydantic_ai' in sys.modules)\n"
        "model_client()\n"
        "assert 'pydantic_ai' not in sys.modules\n"
        "asyncio.run(main())"
    )

    assert printed(program) == "True True"


def printed(program: str) -> str:
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return found.stdout.strip()
