"""The strategies that come with the engine, one file each; `strategy.registry` names them."""
