"""The exercises of notebook 07, Iris."""

import copy
from contextlib import suppress

import torch
from torch import nn

from helpers.exercises.base import Function, Value


class standardize(Function):
    """StandardScaler in PyTorch, learned from one part, applied to another."""

    number = "7.1"
    hints = (
        "Two numbers for each feature, a mean and a deviation. Whose flowers may "
        "they come from?",
        "One number per feature is one per column: dim=0 goes down the columns.",
        "Write the deviation out yourself, as the root of a mean of squares, and "
        "compare it with what `std` says. Then look for `correction` in its help.",
    )
    right = (
        "For 105 flowers the two deviations differ by half a percent. Such a "
        "difference is never noticed, until somebody compares two programs."
    )

    def inputs():
        train = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
        yield train, torch.tensor([[2.0, 50.0], [4.0, 30.0]])
        yield torch.randn(7, 4) * 3 + 5, torch.randn(5, 4)
        yield torch.randn(6, 3), torch.randn(2, 3) + 100
        yield torch.randn(30, 2, dtype=torch.float64) - 4, torch.randn(4, 2).double()
        yield torch.randn(3, 8).T * 1000, torch.randn(3, 3).T
        yield torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [0.5], [1.0]])

    def solution(train, new):
        # Both numbers come from the training flowers, whatever is to be scaled.
        mean = train.mean(dim=0)
        # torch divides by n - 1 unless it is told not to; scikit-learn divides by n.
        deviation = train.std(dim=0, correction=0)
        return (new - mean) / deviation

    def mistake_n_minus_one(train, new):
        """Nearly.

        Your deviation and scikit-learn's differ a little, and the more so the fewer the
        rows: they don't divide by the same number.
        """
        return (new - train.mean(dim=0)) / train.std(dim=0)

    def mistake_own(train, new):
        """You scale the new flowers by themselves.

        Then a single flower couldn't be scaled at all, and the same flower would look
        different in other company.
        """
        return (new - new.mean(dim=0)) / new.std(dim=0, correction=0)

    def mistake_own_minus_one(train, new):
        """The new flowers have a say in how they are scaled.

        They are the ones to be judged on, and nothing may be learned from them.
        """
        shifted = new - new.mean(dim=0)
        return shifted / (shifted.square().sum(dim=0) / (len(new) - 1)).sqrt()

    def mistake_everything(train, new):
        """You learn the means from all the flowers, the new ones included.

        That is the peeking that this section is about.
        """
        both = torch.cat([train, new])
        return (new - both.mean(dim=0)) / both.std(dim=0)

    def mistake_one_for_all(train, new):
        """There is one mean and one deviation for the whole table.

        Each feature has its own.
        """
        return (new - train.mean()) / train.std()

    def mistake_rows(train, new):
        """You go along the rows.

        A row is a flower, and its four lengths have no business being averaged.
        """
        own = train - train.mean(dim=1, keepdim=True)
        # Not std: of a single column, it would warn whoever is being checked.
        squares = own.square().sum(dim=1, keepdim=True) / (train.shape[1] - 1)
        return (new - train.mean(dim=1, keepdim=True)) / squares.sqrt()

    def mistake_rows_flat(train, new):
        """You average each row, the four lengths of a single flower.

        Which of the numbers in the table are comparable?
        """
        own = train - train.mean(dim=1, keepdim=True)
        squares = own.square().sum(dim=1) / (train.shape[1] - 1)
        return (new - train.mean(dim=1)) / squares.sqrt()

    def mistake_mixed(train, new):
        """The deviations come from the training part, and the means do not."""
        return (new - new.mean(dim=0)) / train.std(dim=0, correction=0)

    def mistake_in_place(train, new):
        """The result is right, but the flowers that you were given are changed, too.

        Whoever measured them would like to keep the centimetres.
        """
        new -= train.mean(dim=0)
        new /= train.std(dim=0, correction=0)
        return new

    def mistake_train(train, new):
        """That is the training part, scaled. Asked for is the other one."""
        return (train - train.mean(dim=0)) / train.std(dim=0, correction=0)

    def mistake_variance(train, new):
        """You divide by the variance, and the deviation is its root."""
        return (new - train.mean(dim=0)) / train.var(dim=0, correction=0)

    def mistake_shift(train, new):
        """The means are right. The spread is still that of centimetres."""
        return new - train.mean(dim=0)


class all_right(Value):
    """The size of a test set in which a perfect score would mean something."""

    number = "7.2"
    hints = (
        "Take the worst model that your claim allows, the one that is wrong about "
        "exactly one flower in a hundred. How likely is its perfect score?",
        "For 15 flowers, it is 0.99 to the power of 15: far too likely. From which "
        "number of flowers on is it rarer than one in twenty?",
        "A `while` loop that multiplies by 0.99 and counts finds it, and so do two "
        "logarithms.",
    )
    right = (
        "And not one mistake among them. It is worth remembering as the rule of "
        "three: n right out of n says that about 3/n may still go wrong."
    )

    def solution():
        # The worst model that the claim allows is right with probability 0.99.
        flowers = 1
        while 0.99**flowers > 0.05:
            flowers += 1
        return flowers

    def mistake_one_short():
        """One short.

        The chance of a perfect score is still a little above one in twenty.
        """
        return 298

    def mistake_fraction():
        """Flowers come whole. To which side must this be rounded?"""
        return 298.07

    def mistake_rule_of_three():
        """Very near, and a good rule of thumb. Asked for is the smallest number."""
        return 300

    def mistake_hundred():
        """That is too few.

        With a hundred flowers, even a model that is wrong about one in a hundred has a
        perfect score in more than a third of all cases.
        """
        return 100

    def mistake_other_end():
        """There the first mistake has a chance of one in twenty.

        It is the perfect score that should be so rare.
        """
        return 6

    def mistake_other_end_short():
        """There a perfect score still has a chance of 95 %. It is meant to be rare."""
        return 5

    def mistake_confidence():
        """That is what 99 % confidence takes. Here 95 % will do."""
        return 459

    def mistake_twentieth():
        """That many vouch for at most one wrong in twenty."""
        return 59


class florist(Value):
    """A confusion matrix with high precision and low recall in one class."""

    number = "7.3"
    hints = (
        "The promise and the complaint are about the same species. One looks down "
        "its column, the other along its row.",
        "How many *virginica* at least must be missed? They have to go somewhere, "
        "and must not all go the same way.",
        "Leave the first two rows without a mistake. The third row has to give away "
        "more than a quarter of its fifty, but not too many to any one column.",
    )
    right = (
        "So one model may be praised for its precision and blamed for its recall, "
        "both with good reason, and its accuracy tells neither story."
    )

    def solution():
        # Rows are true species, columns are answers. Thirteen virginica are missed:
        # the recall is 37/50. Nothing else is called virginica: the precision is 1.
        # Versicolor gets eleven strangers, and has a precision of 50/61.
        return [[50, 0, 0], [0, 50, 0], [2, 11, 37]]

    def probe(answer):
        table = torch.empty(0)
        with suppress(RuntimeError, TypeError, ValueError):
            table = torch.as_tensor(answer).double()
        facts = {
            "the table has three rows of three numbers": table.shape == (3, 3),
            "it holds counts: whole numbers, none below 0": True,
            "rows are species and columns are answers, not the reverse": True,
            "each row adds up to 50 flowers": True,
            "at least nine answers in ten are right": True,
            "whatever is called virginica is virginica": True,
            "fewer than three quarters of the virginica are found": True,
            "no species has a precision below four fifths": True,
        }
        if table.shape != (3, 3):
            return facts
        tests = list(facts)[1:]
        facts[tests[0]] = bool((table >= 0).all() and (table == table.round()).all())
        rows, columns = (bool((table.sum(dim=d) == 50).all()) for d in (1, 0))
        facts[tests[1]] = rows or not columns
        if columns and not rows:
            return facts
        facts[tests[2]] = rows
        right = table.diagonal()
        precision, recall = right / table.sum(dim=0), right / table.sum(dim=1)
        facts[tests[3]] = bool(right.sum() >= 0.9 * table.sum() - 1e-9)
        facts[tests[4]] = bool(precision[2] == 1)
        facts[tests[5]] = bool(recall[2] < 0.75)
        facts[tests[6]] = bool((precision >= 0.8 - 1e-9).all())
        return facts

    def mistake_transposed():
        """Your columns add up to 50 and your rows do not.

        On this page each row is a true species, and each column is an answer.
        """
        return [[50, 0, 2], [0, 50, 11], [0, 0, 37]]

    def mistake_one_way():
        """Nearly.

        Too many of the flowers that you give away go to the same species, and its
        precision suffers for it.
        """
        return [[50, 0, 0], [0, 50, 0], [0, 13, 37]]

    def mistake_too_good():
        """The florist finds too many *virginica* for anybody to complain.

        Divide by all that there are.
        """
        return [[50, 0, 0], [0, 50, 0], [1, 11, 38]]

    def mistake_too_many():
        """Recall and precision are as asked.

        With so many mistakes, the accuracy is not.
        """
        return [[50, 0, 0], [0, 50, 0], [8, 12, 30]]

    def mistake_too_many_one_way():
        """You give away more flowers than you need to.

        It costs too much accuracy, and it costs another species its precision.
        """
        return [[50, 0, 0], [0, 50, 0], [0, 20, 30]]

    def mistake_recall_for_precision():
        """It is the other way round.

        Here all the *virginica* are found, and some of what is called *virginica* is
        something else.
        """
        return [[50, 0, 0], [0, 36, 14], [0, 0, 50]]

    def mistake_impostors():
        """The promise is broken.

        Some flowers of another species are called *virginica*.
        """
        return [[50, 0, 0], [0, 49, 1], [2, 11, 37]]

    def mistake_shares():
        """These are shares. A confusion matrix holds counts."""
        return [[1, 0, 0], [0, 1, 0], [0.04, 0.22, 0.74]]


def choose_features(x, y):
    """Return the 20 features whose means in the two classes differ most."""
    difference = x[y == 1].mean(dim=0) - x[y == 0].mean(dim=0)
    return difference.abs().topk(20).indices


def leaking(x, y, fold, scaler=False, choice=False, means=False, fault=""):
    """Return what cross-validation says where some steps learn from all examples."""
    nearer_1 = torch.zeros(len(x))
    every = torch.full((len(x),), True)
    for k in range(5):
        tested = fold == k
        of_scaler, of_choice, of_means = (
            every if leaks else ~tested for leaks in (scaler, choice, means)
        )
        z = x / x[of_scaler].std(dim=0, correction=int(fault == "correction"))
        if fault == "unscaled":
            z = x
        if fault == "means of the tested":
            of_means = tested
        chosen_by = x if fault == "chosen unscaled" else z
        z = z[:, choose_features(chosen_by[of_choice], y[of_choice])]
        to_0 = (z[tested] - z[of_means & (y == 0)].mean(dim=0)).norm(dim=1)
        to_1 = (z[tested] - z[of_means & (y == 1)].mean(dim=0)).norm(dim=1)
        nearer_1[tested] = to_0 - to_1
    return nearer_1


class out_of_fold(Function):
    """Mend a cross-validation that peeks."""

    number = "7.4"
    hints = (
        "Go through the lines and ask of each: does it learn something from "
        "examples? There are three that do.",
        "A line that learns must stand where it is known which fold is tested: "
        "inside the loop.",
        "Keep the x that comes in as it is, and make a new, scaled copy in "
        "each round. The scaler and the features are learned from the rows ~tested.",
        "The class means are leaks as well: `y == 0` also finds tested examples. "
        "With the scaled training rows and their labels under names of their own, "
        "no line can get at the others by accident.",
    )
    right = (
        "On noise, yours is right about half the time, as it should be. The broken one "
        "was shorter and had the better numbers: this is how such things get into "
        "print."
    )

    def inputs():
        yield torch.randn(60, 120), torch.arange(60) % 2, torch.arange(60) // 12
        y = torch.randperm(60) % 2
        yield torch.randn(60, 80) + y.unsqueeze(1), y, torch.arange(60) % 5
        x = torch.randn(40, 50) * torch.rand(50) * 10 + 100
        yield x, torch.randperm(40) % 3 // 2, torch.randperm(40) % 5
        yield torch.randn(30, 33).T, torch.randperm(33) % 2, torch.randperm(33) % 5

    def solution(x, y, fold):
        from sklearn.preprocessing import StandardScaler

        nearer_1 = torch.zeros(len(x))
        for k in range(5):
            tested = fold == k
            # Whatever learns, learns from the rows ~tested, and is applied to all.
            scaler = StandardScaler().fit(x[~tested])
            scaled = torch.tensor(scaler.transform(x)).float()
            kept = choose_features(scaled[~tested], y[~tested])
            train, labels = scaled[~tested][:, kept], y[~tested]
            new = scaled[tested][:, kept]
            # The class means are learned, too.
            to_0 = (new - train[labels == 0].mean(dim=0)).norm(dim=1)
            to_1 = (new - train[labels == 1].mean(dim=0)).norm(dim=1)
            nearer_1[tested] = to_0 - to_1
        return nearer_1

    def mistake_untouched(x, y, fold):
        """Here everything is still learned from all examples."""
        return leaking(x, y, fold, scaler=True, choice=True, means=True)

    def mistake_scaler(x, y, fold):
        """One leak is left, the harmless-looking one.

        The scaler has seen the tested examples.
        """
        return leaking(x, y, fold, scaler=True)

    def mistake_choice(x, y, fold):
        """One leak is left, and it is the worst.

        The features are still chosen with the help of the tested examples.
        """
        return leaking(x, y, fold, choice=True)

    def mistake_means(x, y, fold):
        """One leak is left.

        What the tested examples are compared with was made with their own help.
        """
        return leaking(x, y, fold, means=True)

    def mistake_scaler_and_choice(x, y, fold):
        """The class means are mended.

        What happens before the loop still sees the tested examples.
        """
        return leaking(x, y, fold, scaler=True, choice=True)

    def mistake_choice_and_means(x, y, fold):
        """The scaler is mended, and it was the least of the leaks.

        Two more lines learn something.
        """
        return leaking(x, y, fold, choice=True, means=True)

    def mistake_scaler_and_means(x, y, fold):
        """The choice of features is mended, and it was the worst leak.

        Two more lines learn something.
        """
        return leaking(x, y, fold, scaler=True, means=True)

    def mistake_n_minus_one(x, y, fold):
        """No leak is left. But the `std` of PyTorch is not that of StandardScaler.

        Exercise 7.1 was about the difference.
        """
        return leaking(x, y, fold, fault="correction")

    def mistake_unscaled(x, y, fold):
        """No leak is left, but nothing is scaled any more.

        That a scaler learns is a reason to move it, not to drop it.
        """
        return leaking(x, y, fold, fault="unscaled")

    def mistake_chosen_unscaled(x, y, fold):
        """No leak is left, but the features are chosen before they are scaled.

        So those with large numbers are preferred. The order was: scale, choose.
        """
        return leaking(x, y, fold, fault="chosen unscaled")

    def mistake_means_of_the_tested(x, y, fold):
        """The two class means are those of the tested fold.

        Its labels are what is to be found out.
        """
        return leaking(x, y, fold, fault="means of the tested")

    def mistake_overwritten(x, y, fold):
        """You overwrite x inside the loop, and the second round needs the old one.

        From then on only 20 features are left, and the examples that are tested
        now had a say in which.
        """
        nearer_1 = torch.zeros(len(x))
        for k in range(5):
            tested = fold == k
            x = x / x[~tested].std(dim=0, correction=0)
            x = x[:, choose_features(x[~tested], y[~tested])]
            to_0 = (x[tested] - x[~tested & (y == 0)].mean(dim=0)).norm(dim=1)
            to_1 = (x[tested] - x[~tested & (y == 1)].mean(dim=0)).norm(dim=1)
            nearer_1[tested] = to_0 - to_1
        return nearer_1

    def mistake_reversed(x, y, fold):
        """You learn from the tested fold, and from nothing else."""
        nearer_1 = torch.zeros(len(x))
        for k in range(5):
            tested = fold == k
            z, labels = x[tested] / x[tested].std(dim=0, correction=0), y[tested]
            z = z[:, choose_features(z, labels)]
            to_0 = (z - z[labels == 0].mean(dim=0)).norm(dim=1)
            to_1 = (z - z[labels == 1].mean(dim=0)).norm(dim=1)
            nearer_1[tested] = to_0 - to_1
        return nearer_1

    def mistake_two_scalers(x, y, fold):
        """The tested examples are scaled by themselves.

        They must be scaled as the training examples were, with the same means and
        deviations.
        """
        nearer_1 = torch.zeros(len(x))
        for k in range(5):
            train, new = (
                (part - part.mean(dim=0)) / part.std(dim=0, correction=0)
                for part in (x[fold != k], x[fold == k])
            )
            labels = y[fold != k]
            kept = choose_features(train, labels)
            train, new = train[:, kept], new[:, kept]
            to_0 = (new - train[labels == 0].mean(dim=0)).norm(dim=1)
            to_1 = (new - train[labels == 1].mean(dim=0)).norm(dim=1)
            nearer_1[fold == k] = to_0 - to_1
        return nearer_1


def linear(weight, bias):
    """Return a layer with these weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


class fold_in(Function):
    """Multiply the scaler into the first layer."""

    number = "7.5"
    hints = (
        "Write out what the layer makes of a scaled flower, "
        "W @ ((flower - mean) / deviation) + b, and multiply out the brackets.",
        "Sort the result: what stands before `flower` is the new weight matrix, and "
        "all the rest is the new bias.",
        "In which direction does `deviation` belong to the weight matrix? Each of "
        "its columns belongs to one feature. That is how a row broadcasts.",
        "Under `torch.no_grad()`, `copy_` fills the weight and the bias of the new "
        "layer, as it did on this page where three layers became one.",
    )
    right = (
        "Nobody can forget this scaler, and it costs nothing any more. Finished "
        "networks are made faster by the same trick."
    )

    def inputs():
        layer = linear(torch.tensor([[2.0]]), torch.tensor([1.0]))
        yield layer, torch.tensor([3.0]), torch.tensor([0.5])
        mean, deviation = [5.8, 3.1, 3.8, 1.2], [0.8, 0.4, 1.8, 0.8]
        yield nn.Linear(4, 16), torch.tensor(mean), torch.tensor(deviation)
        yield nn.Linear(3, 3), torch.randn(3), torch.rand(3) + 0.5
        yield nn.Linear(2, 1), torch.randn(2) - 5, torch.rand(2) * 3 + 1
        yield nn.Linear(4, 3), torch.randn(4) + 50, torch.rand(4) + 5
        yield (
            nn.Linear(4, 8),
            torch.tensor([58.0, 3, 4, 0]),
            torch.tensor([8.0, 1, 2, 1]),
        )

    def probe(answer, layer, mean, deviation):
        folded = answer(layer, mean, deviation)
        facts = {"what you return is an nn.Linear": isinstance(folded, nn.Linear)}
        if not isinstance(folded, nn.Linear):
            return facts | {"what it makes of centimetres": mean}
        steps = torch.randn(6, len(mean), generator=torch.Generator().manual_seed(0))
        flowers = mean + 2 * deviation * steps
        with torch.no_grad():
            result = folded(flowers.to(folded.weight.dtype))
        return facts | {"what it makes of centimetres": result}

    def solution(layer, mean, deviation):
        # W @ ((x - mean) / deviation) + b, multiplied out, is
        # (W / deviation) @ x + (b - (W / deviation) @ mean).
        folded = copy.deepcopy(layer)
        with torch.no_grad():
            folded.weight /= deviation  # a row: each column has its own deviation
            folded.bias -= folded.weight @ mean
        return folded

    def mistake_times(layer, mean, deviation):
        """A feature with a large deviation is made smaller by the scaler.

        In your layer it counts for more.
        """
        weight = layer.weight * deviation
        return linear(weight, layer.bias - weight @ mean)

    def mistake_times_and_divided(layer, mean, deviation):
        """The bias is right. The weights are scaled the wrong way."""
        bias = layer.bias - (layer.weight / deviation) @ mean
        return linear(layer.weight * deviation, bias)

    def mistake_no_mean(layer, mean, deviation):
        """The deviations are in, and the means are missing. They move the bias."""
        return linear(layer.weight / deviation, layer.bias)

    def mistake_sign(layer, mean, deviation):
        """The weights are right.

        The bias moves the wrong way: the mean is subtracted from a flower.
        """
        weight = layer.weight / deviation
        return linear(weight, layer.bias + weight @ mean)

    def mistake_old_weights(layer, mean, deviation):
        """The weights are right.

        In the bias, the means are not scaled yet: the division comes after the
        subtraction, so it is for both.
        """
        return linear(layer.weight / deviation, layer.bias - layer.weight @ mean)

    def mistake_no_deviation(layer, mean, deviation):
        """The means are in, and the deviations are missing."""
        return linear(layer.weight, layer.bias - layer.weight @ mean)

    def mistake_bias_lost(layer, mean, deviation):
        """The layer had a bias of its own, and it is gone."""
        weight = layer.weight / deviation
        return linear(weight, -weight @ mean)

    def mistake_past_the_weights(layer, mean, deviation):
        """The weights are right.

        The means move the bias, but on their way there they go through the weights.
        """
        return linear(layer.weight / deviation, layer.bias - mean / deviation)

    def mistake_times_only(layer, mean, deviation):
        """The scaler divides by the deviation, and your weights multiply by it.

        Then look at the bias: the means are scaled on their way, too.
        """
        bias = layer.bias - layer.weight @ mean
        return linear(layer.weight * deviation, bias)

    def mistake_recorded(layer, mean, deviation):
        """Autograd wants to record how you fill the layer.

        The page has filled one before; what stood around those lines?
        """
        folded = nn.Linear(layer.in_features, layer.out_features)
        folded.weight.copy_(layer.weight)

    def mistake_replaced(layer, mean, deviation):
        """You put an ordinary tensor in the place of the layer's weights.

        Keep those, and fill them with your numbers.
        """
        folded = nn.Linear(layer.in_features, layer.out_features)
        folded.weight = layer.weight / deviation

    def mistake_same(layer, mean, deviation):
        """This layer still expects scaled numbers."""
        return copy.deepcopy(layer)

    def mistake_in_place(layer, mean, deviation):
        """The numbers are right, but you have changed the layer that you were given.

        Whoever still feeds it scaled flowers will be surprised.
        """
        with torch.no_grad():
            layer.weight /= deviation
            layer.bias -= layer.weight @ mean
        return layer


def shaped(directions, out=-1.0, level=2.0, last=()):
    """Return a network that adds up ReLUs in some directions."""
    first = linear(torch.tensor(directions), torch.zeros(len(directions)))
    second = linear(torch.full((1, len(directions)), out), torch.tensor([level]))
    return nn.Sequential(first, nn.ReLU(), second, *last)


THREE = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]


class island(Function):
    """A network that is positive near the origin and nowhere else."""

    number = "7.6"
    hints = (
        "Put the sea first: choose hidden units that are all 0 at the origin, and of "
        "which at least one grows, whichever way you walk. The last layer then "
        "subtracts them from a positive number.",
        "ReLU(x) grows to the right. With four units, for right, left, up and "
        "down, the sum is |x| + |y|, and the island is a square on its tip.",
        "A unit with weights (a, b) grows for all walks in the half of the "
        "plane that the arrow (a, b) points into. How few halves cover all walks? Two "
        "that face each other leave out the line between them.",
        "Three arrows a third of a turn apart leave nothing out. Draw them, then "
        "choose the bias so that the shore runs between the two circles.",
    )
    right = (
        "Two units can't: on a line along which one of them stays the same, the other "
        "makes the output rise or fall all the way. In the four dimensions of iris, "
        "an island takes five."
    )

    def probe(answer):
        network = answer if isinstance(answer, nn.Module) else answer()
        facts = {
            "it is an nn.Sequential that begins with a Linear(2, …)": True,
            "the second layer is a ReLU": True,
            "the third layer is a Linear with one output": True,
            "the third layer is the last": True,
            "it has at most three hidden units": True,
            "there is land somewhere": True,
            "all is land within a distance of 1": True,
            "there is sea somewhere": True,
            "there is only sea at distances from 3 to 5": True,
            "there is only sea far out, in every direction": True,
        }
        tests = list(facts)
        layers = list(network) if isinstance(network, nn.Sequential) else []
        kinds = [type(layer) for layer in layers]
        facts[tests[0]] = kinds[:1] == [nn.Linear] and layers[0].in_features == 2
        facts[tests[1]] = kinds[1:2] == [nn.ReLU]
        facts[tests[2]] = kinds[2:3] == [nn.Linear] and layers[2].out_features == 1
        facts[tests[3]] = len(kinds) == 3
        if not all(facts.values()):
            return facts
        facts[tests[4]] = layers[0].out_features <= 3
        angles = torch.arange(720) * torch.pi / 360
        circle = torch.stack([angles.cos(), angles.sin()], dim=1)

        def heights(*radii):
            points = torch.cat([radius * circle for radius in radii])
            with torch.no_grad():
                return network(points.to(layers[0].weight.dtype))

        near, far = heights(0, 0.25, 0.5, 0.75, 0.99), heights(30, 1000, 100000)
        between, beyond = heights(1.5, 2, 2.5, 3), heights(3.01, 3.5, 4, 5)
        facts[tests[5]] = bool((torch.cat([near, between, beyond, far]) > 0).any())
        facts[tests[6]] = bool((near > 0).all())
        facts[tests[7]] = bool((far < 0).any())
        facts[tests[8]] = bool((beyond < 0).all())
        facts[tests[9]] = bool((far < 0).all())
        return facts

    def solution():
        # Each hidden unit is 0 at the origin and grows in one half of the plane.
        # The three halves cover all directions, so that their sum grows whichever
        # way you walk: by 0.7 to 1.4 for each unit of distance.
        network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        first, _, last = network
        with torch.no_grad():
            first.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))
            first.bias.zero_()
            # 2 − sum: above 0.5 within 1, and below −0.1 from 3 on
            last.weight.fill_(-1)
            last.bias.fill_(2)
        return network

    def mistake_four():
        """That is an island, but it has more hidden units than it needs.

        Do you need one for each of right, left, up and down?
        """
        return shaped([[1.0, 0], [-1, 0], [0, 1], [0, -1]])

    def mistake_way_out():
        """The land has no end: there is a direction in which one never gets wet.

        Look for a walk on which no hidden unit grows.
        """
        return shaped([[1.0, 0], [0, 1]])

    def mistake_lake():
        """That is a lake: sea in the middle, and land all around."""
        return shaped(THREE, out=1.0, level=-2.0)

    def mistake_no_sea():
        """There is no sea, however far one goes. Look at the signs at the end."""
        return shaped(THREE, out=1.0, level=2.0)

    def mistake_large():
        """That is an island, but it reaches out of the larger circle.

        Its shore should lie between the two.
        """
        return shaped(THREE, level=10.0)

    def mistake_small():
        """That is an island, but the smaller circle doesn't fit on it.

        Its shore should lie between the two.
        """
        return shaped(THREE, level=0.5)

    def mistake_no_land():
        """There is no land at all. How high does your network put the origin?"""
        return shaped(THREE, level=-0.5)

    def mistake_recorded():
        """Autograd wants to record how you fill the layers.

        The page has filled one before; what stood around those lines?
        """
        nn.Linear(2, 3).weight.copy_(torch.zeros(3, 2))

    def mistake_replaced():
        """You put an ordinary tensor in the place of a layer's weights.

        Keep those, and fill them with your numbers.
        """
        nn.Linear(2, 3).weight = torch.zeros(3, 2)

    def mistake_last_relu():
        """After a ReLU at the end, nothing is ever negative."""
        return shaped(THREE, last=[nn.ReLU()])

    def mistake_no_relu():
        """Without a ReLU in between, these layers are one.

        The shore is a straight line.
        """
        return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
