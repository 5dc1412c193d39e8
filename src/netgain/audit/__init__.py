"""Other people's runs: readers turn what they published into a claim, checks say what is wrong with the comparison."""
