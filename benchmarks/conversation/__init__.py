"""(h) One long conversation: what a model and a tool say, the agent that hears it, and the same loop in LangGraph."""
