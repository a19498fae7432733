"""The edges: HTTP, queues and schedules. They parse, call one function, and answer."""
