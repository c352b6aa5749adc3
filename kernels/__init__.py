"""Token kernels of crystal, installed as ``crystal.kernels``: they import nothing of crystal.

Importing this package loads neither torch nor triton; its modules do, so import the one that is needed:

``token_fields``
    Names, order and limits that every form of the kernels agrees on (plain Python).
``token_reference``
    The plain PyTorch form: state, merge and results, in the precision that is asked for.
``token_stats``, ``token_finish``, ``token_launch``
    The Triton kernels, and what runs them on tensors.
``token_merge``
    The rule that joins states, in NumPy or torch.
``temperature_curve``, ``curve_launch``, ``curve_merge``, ``curve_reference``
    The same for a grid of temperatures: Triton kernel, what runs it, the rule that joins sums, plain PyTorch.
``linear_token_stats``, ``linear_launch``
    The state of hidden @ weight.T without the logits, and what runs it.
``token_divergence``, ``divergence_launch``, ``divergence_sums``, ``divergence_reference``
    Two rows of logits: Triton kernel, what runs it, the sums and their results, plain PyTorch.
``shipped``
    Every configuration that the package launches: add a kernel's here.
``ahead_of_time``, ``disassembly``, ``compiled``
    Compile them for GPUs that need not be there, take the code apart, hold it to the bar, write a table.
"""
