"""OONI's data format (df-000 0.2.0), both ways: their measurements read and judged, our records written as theirs."""
