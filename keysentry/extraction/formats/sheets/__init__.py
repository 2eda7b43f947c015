"""Spreadsheets: what a workbook is, the process that reads its cells, and what lies beside the cells."""
