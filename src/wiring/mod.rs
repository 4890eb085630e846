//! Joins the modules: starts the tasks and carries values and commands between them.
