"""What work costs and who may spend it: model shapes, prices, budgets and accounts, folds over the ledger."""
