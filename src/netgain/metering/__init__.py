"""What work costs and who may spend it: model shapes, the price formulas, folds over the ledger."""
