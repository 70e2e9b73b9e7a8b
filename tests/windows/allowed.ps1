# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

# The syntax tree of the script on standard input: a line for each node that has a name of its own, and for each error.
$tokens = $null
$errors = $null
$tree = [System.Management.Automation.Language.Parser]::ParseInput((@($input) -join "`n"), [ref]$tokens, [ref]$errors)
foreach ($problem in $errors) { 'error ' + $problem.Message }
foreach ($node in $tree.FindAll({ $true }, $true)) {
    $kind = $node.GetType().Name
    $name = ''
    if ($kind -eq 'CommandAst') { $name = $node.CommandElements[0].Extent.Text }
    if ($kind -eq 'VariableExpressionAst') { $name = $node.VariablePath.UserPath }
    if ($kind -eq 'TypeExpressionAst') { $name = $node.TypeName.FullName }
    if ($kind -like '*MemberExpressionAst') { $name = $node.Member.Extent.Text }
    if ($node.NullConditional) { $name = "?.$name" }
    if ($kind -eq 'BinaryExpressionAst') { $name = "$($node.Operator)" }
    if ($kind -eq 'AssignmentStatementAst') { $name = "$($node.Operator)" }
    if ($kind -eq 'RedirectionAst' -or $kind -eq 'MergingRedirectionAst') { $name = $node.Extent.Text }
    $kind + ' ' + $name
}
