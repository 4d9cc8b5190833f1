"""What people look at: drawings, text trees, explanations and step-throughs of a graph."""
